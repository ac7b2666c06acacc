"""Names for people who do not exist, in the scripts and spellings that a city hall meets."""

GIVEN_FEMALE = (
    "Aylin", "Agnieszka", "Amira", "Anna", "Beata", "Chiara", "Clara", "Đặng Thu", "Elif", "Emilia", "Ewa", "Fatima",
    "Hanna", "Ida", "Ilse", "Ingrid", "Irina", "Jana", "Jolanta", "Karin", "Leonie", "Lena", "Leyla", "Mariam", "Marta",
    "Mia", "Monika", "Nadia", "Nele", "Nour", "Oksana", "Olga", "Petra", "Renate", "Rosa", "Samira", "Sofía", "Sabine",
    "Şükran", "Svitlana", "Tuğba", "Ursula", "Yasmin", "Zoë", "Željka", "Zeynep",
)  # fmt: skip
GIVEN_MALE = (
    "Adam", "Ahmet", "Ali", "Andrzej", "Ben", "Bernd", "Can", "Çağlar", "Daniel", "Dimitrios", "Emre", "Erik", "Ferhat",
    "Finn", "François", "Georg", "Günter", "Heinz", "Ibrahim", "Ivan", "Jakub", "Jan", "Jürgen", "Karim", "Klaus",
    "Leon", "Luca", "Łukasz", "Mehmet", "Milan", "Noah", "Oleksandr", "Omar", "Paul", "Piotr", "Rainer", "Rüdiger",
    "Samuel", "Søren", "Tobias", "Tomasz", "Uwe", "Víctor", "Werner", "Yusuf", "Zoran",
)  # fmt: skip
FAMILY = (
    "Aksoy", "Bąk", "Becker", "Bozkurt", "Brandt", "Çelik", "Dąbrowski", "Demir", "Đorđević", "El-Amrani", "Fischer",
    "Friedrich", "Gómez", "Groß", "Hartmann", "Hoffmann", "Ilić", "Jansen", "Kaya", "Kowalczyk", "Köhler", "Krause",
    "Krüger", "Lange", "Lindström", "Łapiński", "Marić", "Meier", "Müller", "Naumann", "Nguyễn", "Nowak", "Öztürk",
    "Papadopoulos", "Pereira", "Pohl", "Richter", "Romano", "Schäfer", "Schmidt", "Schröder", "Schulte-Berge", "Şahin",
    "Sommer", "Strauß", "Tran", "Übelacker", "van der Heide", "Vogel", "Weiß", "Winkler", "Wójcik", "Yıldırım",
    "Zając", "Zimmermann",
)  # fmt: skip
WHOLE = (
    ("Олена", "Шевченко"), ("Андрій", "Коваленко"), ("Наталья", "Соколова"), ("Дмитрий", "Орлов"),
    ("محمد", "الأحمد"), ("ليلى", "حداد"), ("یوسف", "کریمی"), ("مریم", "احمدی"),
    ("Ελένη", "Γεωργίου"), ("Νίκος", "Δημητρίου"), ("明", "王"), ("ትዕግስት", "በቀለ"),
    ("ნინო", "ბერიძე"), ("Անի", "Պետրոսյան"), ("रीता", "शर्मा"), ("דוד", "לוי"),
)  # fmt: skip
"""Given and family name together, where one script holds both."""

STREETS = (
    ("Münsterstraße", "44145"), ("Mallinckrodtstraße", "44147"), ("Kaiserstraße", "44135"), ("Ruhrallee", "44137"),
    ("Hörder Bahnhofstraße", "44263"), ("Rheinische Straße", "44137"), ("Evinger Straße", "44339"),
    ("Saarlandstraße", "44139"), ("Brackeler Hellweg", "44309"), ("Provinzialstraße", "44388"),
    ("Aplerbecker Straße", "44319"), ("Mengeder Straße", "44359"), ("Leopoldstraße", "44147"),
    ("Schützenstraße", "44147"), ("Am Remberg", "44263"), ("Westfalendamm", "44141"),
)  # fmt: skip
"""Streets of Dortmund with a postcode of theirs; house numbers are made up."""
